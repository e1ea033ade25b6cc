"""What isolation costs: BFCL's 2,501 AST entries scored in disposable processes, beside the package's bare checker."""
