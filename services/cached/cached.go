package cached
