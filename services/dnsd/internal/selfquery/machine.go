package selfquery

// Rounds in a row that change the verdict. It takes more to come back than to go: an address that moves to and fro is worse
// than one that is elsewhere a second longer.
const (
	Fall = 2
	Rise = 3
)

// Machine makes a verdict of rounds. The zero Machine has none, and the first good round is one.
type Machine struct {
	known, answers bool
	bad, good      int // in a row
}

// Step takes a round's outcome and returns whether the server answers; known is false until it did once, or failed Fall times.
func (m *Machine) Step(ok bool) (answers, known bool) {
	if ok {
		m.bad, m.good = 0, m.good+1
	} else {
		m.bad, m.good = m.bad+1, 0
	}
	switch {
	case ok && (!m.known || m.good >= Rise):
		m.known, m.answers = true, true
	case m.bad >= Fall:
		m.known, m.answers = true, false
	}
	return m.answers, m.known
}
