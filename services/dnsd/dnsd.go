package dnsd
