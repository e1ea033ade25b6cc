"""What supervises from outside: admission, lanes, processes and their clocks, directories, ways into the network.

Runs in the server, as its user, with its rights. Of a child it may believe what the kernel says (its exit status, the
sizes of its files) and nothing that the child says: that comes in through ``from_inside`` alone, as bytes of fixed
form, and goes out through ``to_inside``. Of a zygote it believes fixed-size packets (``processes.zygote``): one has run
no caller's code. A child's directory belongs to the child, hostile and perhaps alive: ``files`` alone goes there, and
follows no link. What callers asked for has been parsed by ``surface``; limits are held against the settings here. Never
imports ``inside`` or ``zygote``: those are started by name, in processes of their own.
"""
