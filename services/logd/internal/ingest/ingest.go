// Package ingest receives syslog: datagrams over UDP (RFC 5426) and unix sockets, streams over TCP (RFC 6587). It parses and
// queues; what happens when the queue is full depends on whether the sender can be made to wait. TCP senders wait, because nothing more is read
// from them. Datagrams are dropped and counted: making a local sender wait would freeze its host.
package ingest

import (
	"bytes"
	"context"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/everup/everup/services/logd/internal/parse"
	"github.com/everup/everup/services/logd/internal/record"
	"github.com/everup/everup/shared/metric"
	"github.com/rs/zerolog"
)

// Limits bound receivers.
type Limits struct {
	Message     int           // bytes of a message; the rest is dropped
	Connections int           // open at once; further ones are closed at once
	Idle        time.Duration // longest silence between messages of a connection
	Frame       time.Duration // longest time for one message to arrive in full
}

// Metrics count what receivers do.
type Metrics struct {
	Messages    [record.Transports]*metric.Counter
	Bytes       [record.Transports]*metric.Counter
	Truncated   *metric.Counter
	Flaws       *metric.CounterVec // format, flaw
	Dropped     *metric.CounterVec // reason
	Connections *metric.Gauge
	Refused     *metric.CounterVec // reason: connections that were ended by us
}

// NewMetrics registers the metrics of receivers.
func NewMetrics(r *metric.Registry) *Metrics {
	m := &Metrics{
		Truncated:   r.Counter("truncated_messages_total", "Messages cut because they were longer than limits.message, or because their connection ended inside them."),
		Flaws:       r.CounterVec("flawed_messages_total", "Messages kept although they break their format.", 8, "format", "flaw"),
		Dropped:     r.CounterVec("dropped_messages_total", "Messages that were received and lost.", 8, "reason"),
		Connections: r.Gauge("connections", "Open TCP connections."),
		Refused:     r.CounterVec("refused_connections_total", "TCP connections ended by logd.", 8, "reason"),
	}
	for t := range record.Transports {
		proto := metric.Label{Name: "proto", Value: record.Transport(t).String()}
		m.Messages[t] = r.Counter("received_messages_total", "Messages received.", proto)
		m.Bytes[t] = r.Counter("received_bytes_total", "Bytes of messages received, without framing.", proto)
	}
	return m
}

// Sink is where receivers put what they receive.
type Sink struct {
	Queue    *Queue
	Metrics  *Metrics
	Log      zerolog.Logger
	Location *time.Location

	limits atomic.Pointer[Limits]
}

// SetLimits changes the limits; connections that are open keep their limit of a message.
func (s *Sink) SetLimits(l Limits) { s.limits.Store(&l) }

// accept parses data, which it copies, and queues the record. With wait it waits for room until ctx ends; else a full queue drops.
func (s *Sink) accept(ctx context.Context, p *parse.Parser, data []byte, truncated, wait bool, via record.Transport, peer netip.Addr) {
	r := record.Record{Received: time.Now(), Peer: peer, Via: via, Truncated: truncated}
	p.Parse(&r.Message, bytes.Clone(data), r.Received)
	s.Metrics.Messages[via].Inc()
	s.Metrics.Bytes[via].Add(uint64(len(data)))
	if truncated {
		s.Metrics.Truncated.Inc()
	}
	if r.Flaw != parse.NoFlaw {
		s.Metrics.Flaws.With(r.Format.String(), r.Flaw.String()).Inc()
	}
	switch {
	case wait && s.Queue.Put(ctx, &r), !wait && s.Queue.TryPut(&r):
	case wait:
		s.Metrics.Dropped.With("shutdown").Inc()
	default:
		s.Metrics.Dropped.With("queue_full_" + via.String()).Inc()
	}
}
