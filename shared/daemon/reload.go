package daemon

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"reflect"
	"strings"
	"time"

	"github.com/everup/everup/shared/fault"
	"github.com/everup/everup/shared/health"
	"github.com/everup/everup/shared/member"
)

const (
	itemRejected = "config.rejected"
	itemRestart  = "config.needs-restart"
)

// ReloadResult says what a reload did.
type ReloadResult struct {
	Changed bool     `json:"changed"`           // the configuration differs from the one before
	Hash    string   `json:"hash"`              // of the configuration in force
	Restart []string `json:"restart,omitempty"` // sections that changed and take effect only after a restart
}

// Reload reads the configuration again and swaps to it. A configuration that is refused changes nothing: the error says
// why (all of it), an event and a health item keep saying it until a good one is read. Reloads follow one another; once the
// daemon stops they are refused (fault.Unavailable), and ctx of the one under way ends.
func (i *Instance[C]) Reload(ctx context.Context) (ReloadResult, error) {
	if i.load == nil {
		return ReloadResult{}, fault.New(fault.Unsupported, "daemon: this instance was started without a file")
	}
	if err := i.beginReload(ctx); err != nil {
		return ReloadResult{}, err
	}
	defer func() { <-i.reloading }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(i.taking, cancel)()
	next, err := i.load()
	if err == nil {
		err = i.service.Reload(ctx, next.Config)
	}
	if err != nil {
		i.rejected(err)
		return ReloadResult{}, err
	}
	return i.accepted(next), nil
}

// beginReload waits for the reload under way.
func (i *Instance[C]) beginReload(ctx context.Context) error {
	select {
	case i.reloading <- struct{}{}:
		if i.taking.Err() == nil {
			return nil
		}
		<-i.reloading
	case <-i.taking.Done():
	case <-ctx.Done():
		return fault.Wrap(fault.Timeout, ctx.Err(), "daemon: wait for the reload under way")
	}
	return fault.New(fault.Unavailable, "daemon: no reload: the daemon stops")
}

func (i *Instance[C]) rejected(err error) {
	i.mu.Lock()
	i.reject = err
	i.mu.Unlock()
	i.floor.Health.Item(itemRejected, rejectedItem).Warn(err.Error(), "mend the file and reload; the daemon runs on with the configuration before")
	i.emitRejected(err)
}

// maxEventError bounds the text of a refusal in an event; status and log have all of it.
const maxEventError = 4 << 10

func (i *Instance[C]) emitRejected(err error) {
	text := err.Error()
	if len(text) > maxEventError {
		text = strings.ToValidUTF8(text[:maxEventError], "") + "…"
	}
	i.floor.Bus.Emit("config-rejected", "", map[string]any{"error": text})
}

var rejectedItem = health.Options{Title: "the newest configuration was refused"}

func (i *Instance[C]) accepted(next Loaded[C]) ReloadResult {
	i.mu.Lock()
	prev := i.now
	i.now, i.loaded, i.reject, i.kept = next, time.Now(), nil, false
	i.later = needRestart(i.floor.common, *i.spec.Common(next.Config))
	res := ReloadResult{Changed: prev.Doc.Hash() != next.Doc.Hash(), Hash: next.Doc.Hash(), Restart: i.later}
	i.mu.Unlock()

	i.floor.Health.Item(itemRejected, rejectedItem).OK()
	i.floor.Health.Item(itemLastGood, lastGoodItem).OK()
	restart := i.floor.Health.Item(itemRestart, health.Options{Title: "part of the configuration waits for a restart"})
	if len(res.Restart) > 0 {
		restart.Warn("sections "+strings.Join(res.Restart, ", "), "restart the daemon when it suits")
	} else {
		restart.OK()
	}
	if err := i.floor.logs.SetLevel(i.spec.Common(next.Config).Log.Level); err != nil {
		i.floor.Log.Error().Err(err).Msg("log level not changed")
	}
	i.floor.Admin.SetAllow(i.spec.Common(next.Config).Admin.Allow)
	i.floor.Announce(i.announceConfig)
	keepLastGood(i.floor, next.Doc)
	i.floor.Log.Info().Str("hash", res.Hash).Bool("changed", res.Changed).Strs("restart", res.Restart).Msg("configuration applied")
	i.floor.Bus.Emit("config-applied", "", res)
	return res
}

// needRestart names the shared sections that differ and cannot change while the daemon runs.
func needRestart(running, next Common) []string {
	var out []string
	check := func(name string, a, b any) {
		if !reflect.DeepEqual(a, b) {
			out = append(out, name)
		}
	}
	check("node", running.Node, next.Node)
	check("state", running.State, next.State)
	check("cluster", running.Cluster, next.Cluster)
	check("bus", running.Bus, next.Bus)
	check("admin.socket", running.Admin.Socket, next.Admin.Socket)
	check("admin.http", running.Admin.HTTP, next.Admin.HTTP)
	check("log.format", running.Log.Format, next.Log.Format)
	check("limits", running.Limits, next.Limits)
	return out
}

// announceConfig puts the configuration's hash into gossip, so that a fleet whose hosts differ can be seen.
func (i *Instance[C]) announceConfig(a *member.Announcement) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.now.Doc == nil {
		return
	}
	if b, err := hex.DecodeString(i.now.Doc.Hash()); err == nil && len(b) >= 8 {
		a.Config = binary.BigEndian.Uint64(b)
	}
}

func (i *Instance[C]) registerConfigMetrics() {
	i.floor.Metrics.GaugeFunc("config_ok", "1 when the newest configuration read is the one in force.", func() float64 {
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.reject != nil {
			return 0
		}
		return 1
	})
	i.floor.Metrics.GaugeFunc("config_loaded_timestamp_seconds", "When the configuration in force was read.", func() float64 {
		i.mu.Lock()
		defer i.mu.Unlock()
		return float64(i.loaded.UnixMilli()) / 1000
	})
}
