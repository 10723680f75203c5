package engine

import "golang.org/x/sys/unix"

// Bounds of pipes.
const (
	maxPipes     = 256 // of a worker; content beyond them is copied
	maxIdlePipes = 16  // pipes that a worker keeps
)

// pipe carries content within the kernel.
type pipe struct {
	r, w int
	held int // bytes that are in it
}

// pipes are a worker's.
type pipes struct {
	idle []*pipe
	used int
}

// get lends a pipe, nil if there is none, or none that is large enough to be of use.
func (p *pipes) get() *pipe {
	if n := len(p.idle); n > 0 {
		one := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.used++
		return one
	}
	if p.used >= maxPipes {
		return nil
	}
	var fds [2]int
	if unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC) != nil {
		return nil
	}
	one := &pipe{r: fds[0], w: fds[1]}
	if _, err := unix.FcntlInt(uintptr(one.w), unix.F_SETPIPE_SZ, pipeLen); err != nil { // a user's pipes have a limit in all
		one.close()
		return nil
	}
	p.used++
	return one
}

// put takes a pipe back. One that is not empty is of no more use.
func (p *pipes) put(one *pipe) {
	p.used--
	if one.held > 0 || len(p.idle) >= maxIdlePipes {
		one.close()
		return
	}
	p.idle = append(p.idle, one)
}

// close closes those that are kept.
func (p *pipes) close() {
	for _, one := range p.idle {
		one.close()
	}
	p.idle = nil
}

func (p *pipe) close() {
	unix.Close(p.r)
	unix.Close(p.w)
}
