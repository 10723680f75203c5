package load

import "time"

// open sends each request when it is due. While the next is near or an answer is awaited, the loop does not sleep but
// asks epoll again and again: a sleeping thread wakes some 50 µs late (timer slack), which would be measured as the server's.
func (l *loop) open() error {
	next := l.t.gap()
	for !l.done.Load() {
		now := l.now()
		var err error
		if next, err = l.issue(next, now); err != nil {
			return err
		}
		over := l.t.over() || next >= float64(l.t.duration)
		if over && l.flight == 0 {
			return nil
		}
		pause := 0
		if l.flight == 0 {
			pause = idle(next - float64(now))
		}
		n, err := l.wait(pause)
		if err != nil {
			return err
		}
		for _, ev := range l.events[:n] {
			if err := l.serve(l.conns[ev.Fd], ev.Events); err != nil {
				return err
			}
		}
	}
	return nil
}

// idle returns the milliseconds that may be slept when the next request is due in so many nanoseconds.
func idle(until float64) int {
	return int(min(max(until/float64(time.Millisecond)-2, 0), 100))
}

// issue sends what is due by now, each request on the connection whose turn it is, and returns when the next is due. What finds
// no connection with room stays due.
func (l *loop) issue(next float64, now int64) (float64, error) {
	for next <= float64(now) && next < float64(l.t.duration) && !l.t.over() {
		c := l.turn()
		if c == nil {
			break
		}
		l.buf = l.buf[:0]
		l.request(c, int64(next))
		if err := l.send(c); err != nil {
			return next, err
		}
		l.r.Late.Record(l.now() - int64(next))
		next += l.t.gap()
	}
	return next, nil
}

// turn returns the next connection that may have another request in flight, nil when none may.
func (l *loop) turn() *conn {
	for range l.conns {
		c := l.conns[l.at]
		if l.at++; l.at == len(l.conns) {
			l.at = 0
		}
		if c.answers.queue.len() < inFlightLimit && len(c.out) == 0 {
			return c
		}
	}
	return nil
}
