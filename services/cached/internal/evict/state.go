package evict

// The state byte of an item: which queue it is in, how often it was used since the hand last passed it (up to 3), and the epoch of its last
// use. Epochs run from 1 to 31 and round again; 0 stands for "so long ago that it does not matter".
const (
	stateMain  = 1 << 7
	freqShift  = 5
	freqMask   = 3 << freqShift
	freqOne    = 1 << freqShift
	epochMask  = 1<<freqShift - 1
	epochs     = 31
	ancient    = 0
	ageAncient = 1 << 7 // age of what was used in no epoch that is remembered

	epochsPerTurn = 8  // epochs while a capacity's worth of weight is admitted
	memory        = 16 // epochs that ghosts, and the uses of items in main, are remembered
)

// used returns the state s after a use in the given epoch.
func used(s, epoch uint8) uint8 {
	if s&freqMask != freqMask {
		s += freqOne
	}
	return s&^epochMask | epoch
}

// age is how many epochs before now the epoch e was.
func age(e, now uint8) uint8 {
	if e == ancient {
		return ageAncient
	}
	if e <= now {
		return now - e
	}
	return now + epochs - e
}

// nextEpoch follows e.
func nextEpoch(e uint8) uint8 {
	if e == epochs {
		return 1
	}
	return e + 1
}
