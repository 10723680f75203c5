package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/everup/everup/shared/admin"
	"github.com/everup/everup/shared/bus"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/labtest"
	"github.com/everup/everup/shared/member"
)

// A fleet of three on one host: gossip, one bus server among them, each one's status by the admin API of any.
func TestFleet(t *testing.T) {
	labtest.LeakCheck(t)
	ports := make([]string, 5)
	for i := range ports {
		ports[i] = labtest.FreeAddr(t)
	}
	common := func(i int) string {
		return fmt.Sprintf("cluster: {fleet: demo, listen: '%s', join: ['%s'], secrets: ['0123456789abcdef0123']}\nbus: {listen: '%s', routes: '%s'}\n", ports[i], ports[0], ports[3], ports[4])
	}
	h := newHost(t, "")
	names := []string{"lbd", "dnsd", "cached"}
	var ins []*Instance[toyConfig]
	var stops []func()
	for i, n := range names {
		in, stop := h.start(t, n, common(i))
		ins, stops = append(ins, in), append(stops, stop)
	}
	events := make(chan bus.Event, 64)
	cancel, err := ins[0].Env().Bus.Subscribe("", "", func(e bus.Event) { events <- e })
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	labtest.Eventually(t, 20*time.Second, "all three answer over the bus", func() error {
		f, err := ask[FleetStatus](t, h, "lbd", "GET", "/v1/fleet")
		if err != nil {
			return err
		}
		if len(f.Daemons) != 3 || len(f.Silent) != 0 || len(f.Members) != 3 {
			return fmt.Errorf("%d daemons, silent %v, %d members", len(f.Daemons), f.Silent, len(f.Members))
		}
		return nil
	})
	servers := 0
	for _, in := range ins {
		if in.Env().Bus.State() == bus.Server {
			servers++
		}
	}
	if servers != 1 {
		t.Errorf("%d bus servers on one host", servers)
	}
	// What one announces, all see.
	ins[1].Env().Announce(func(a *member.Announcement) { a.Weight = 7 })
	labtest.Eventually(t, 10*time.Second, "the announcement is seen", func() error {
		for _, m := range ins[0].Env().Fleet.View().Alive("dnsd") {
			if m.Weight == 7 {
				return nil
			}
		}
		return errors.New("not yet")
	})
	stops[2]()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case e := <-events:
			if e.Kind == "member-left" && e.Object == "n1/cached" {
				return
			}
		case <-deadline:
			t.Fatal("no event says that cached left")
		}
	}
}

// A fleet without a secret is open to every local process: that is said, not only documented. A service has the keys where there are any.
func TestOpenFleetIsAFinding(t *testing.T) {
	f := func(secrets string, want health.Level) {
		t.Helper()
		h := newHost(t, fmt.Sprintf("cluster: {fleet: demo, listen: '%s'%s}\nbus: {mode: 'off'}\n", labtest.FreeAddr(t), secrets))
		in, _ := h.start(t, "toy", "")
		level := health.OK
		for _, it := range in.Env().Health.Snapshot() {
			if it.ID == "fleet.open" {
				level = it.Level
			}
		}
		if level != want {
			t.Errorf("fleet.open with %q is %s, want %s", secrets, level, want)
		}
		if keys := in.Env().Keys; (keys != nil) != (secrets != "") {
			t.Errorf("with %q the service's keys are %v", secrets, keys)
		}
	}
	f("", health.Warn)
	f(", secrets: [0123456789abcdef0123]", health.OK)
}

func TestFollowEvents(t *testing.T) {
	h := newHost(t, "")
	in, _ := h.start(t, "toy", "")
	<-in.Ready()
	c := admin.Dial(h.path("toy.sock"))
	defer c.Close()
	body, err := c.Stream(t.Context(), "/v1/events?follow=1&kind=spoken")
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	dec := json.NewDecoder(body)
	// The stream may open before the subscription is there: speak until it is heard.
	heard := make(chan bus.Event, 1)
	go func() {
		var e bus.Event
		if dec.Decode(&e) == nil {
			heard <- e
		}
	}()
	labtest.Eventually(t, 10*time.Second, "an event is streamed", func() error {
		in.Env().Bus.Emit("spoken", "x", map[string]int{"n": 1})
		select {
		case e := <-heard:
			if e.Object != "x" || e.Node != "n1" || string(e.Data) != `{"n":1}` {
				t.Errorf("event %+v", e)
			}
			return nil
		default:
			return errors.New("not yet")
		}
	})
}
