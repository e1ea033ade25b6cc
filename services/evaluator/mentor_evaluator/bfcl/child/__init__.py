"""What runs in the disposable processes: the package's own decoders, checkers and simulators, behind walls."""
