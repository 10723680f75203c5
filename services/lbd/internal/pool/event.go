package pool

// Event is something worth telling about a pool.
type Event struct {
	Kind   string
	Member ID // "" for what concerns the pool
	Detail string
}

// The kinds of events.
const (
	MemberUp        = "pool-member-up"
	MemberDown      = "pool-member-down"
	MemberDrained   = "pool-member-drained"
	MemberUndrained = "pool-member-undrained"
	MemberEjected   = "pool-member-ejected"
	MemberReturned  = "pool-member-returned" // from an ejection
	BreakerOpened   = "pool-breaker-open"
	BreakerClosed   = "pool-breaker-closed"
	PoolEmpty       = "pool-empty"
	PanicBegan      = "pool-panic"
	PanicEnded      = "pool-panic-over"
	FailedOver      = "pool-failover" // to the backups
	FailedBack      = "pool-failback"
	QueueIsFull     = "pool-queue-full" // again only after the queue was empty
)

// maxEvents bounds the events that nobody has taken yet; further ones are lost.
const maxEvents = 256

func (c *Core) tell(kind string, m *Member, detail string) {
	if len(c.events) >= maxEvents {
		return
	}
	e := Event{Kind: kind, Detail: detail}
	if m != nil {
		e.Member = m.ID
	}
	c.events = append(c.events, e)
}
