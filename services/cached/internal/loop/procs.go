package loop

// Procs is the GOMAXPROCS for a daemon with so many loops, on a machine where it may run on cpus processors.
func Procs(loops, cpus int) int { return loops + 1 }
