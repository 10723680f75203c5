package evict

// mode is a way to run the queues of a core.
type mode struct {
	name    string
	window  uint64 // the window's share of the capacity, in 1/1024
	promote uint8  // uses in the window that lead to main
	memory  uint8  // epochs for which a ghost counts, at most memory
	lru     bool   // the window is the whole cache, in order of last use
}

// Modes, by the traffic that each suits. None is far from the best of the known policies on everything; on every trace seen, one of them is near it.
const (
	modeSteady = iota
	modeMixed
	modeMoving
	modeTwice
	modeRecent
	modeCount

	modeFirst = modeMixed // before anything is learnt
)

// modes is constant.
var modes = [modeCount]mode{
	modeSteady: {name: "steady", window: 10, promote: 1, memory: memory / 2},          // loops, scans, stationary popularity
	modeMixed:  {name: "mixed", window: 102, promote: 1, memory: memory},              // the web, databases
	modeMoving: {name: "moving", window: 410, promote: 1, memory: memory},             // popularity that moves
	modeTwice:  {name: "twice", window: 205, promote: 2, memory: memory},              // many keys are read twice in a row and no more
	modeRecent: {name: "recent", window: 1024, promote: 1, memory: memory, lru: true}, // only the last use counts
}
