"""Server. The outer side of zygotes and children: started, forked, timed, throttled, killed, and what they printed."""
