package loop

// Procs is the GOMAXPROCS for a daemon with so many loops: one for each and one to spare, whatever the number of CPUs. With none
// to spare the runtime's monitor takes a loop's processor away 20 µs after it began to wait for events, and the loop must get it back; with
// fewer than loops, which is Go's choice for a process that was given few CPUs, loops wait for each other. More than one spare
// measures the same.
func Procs(loops int) int { return loops + 1 }
