"""Where archives are put: one file a kind; `base` is the contract that one suite of tests runs over every kind."""
