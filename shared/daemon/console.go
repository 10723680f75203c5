package daemon

import (
	"context"

	"github.com/everup/everup/shared/bus"
	"github.com/everup/everup/shared/console"
	"github.com/everup/everup/shared/logx"
)

// openConsole puts the console on the admin API's TCP side, where there is one.
func (i *Instance[C]) openConsole() {
	f := i.floor
	if f.tcp == nil {
		return
	}
	i.console = console.New(console.Source{
		Fleet: func(ctx context.Context) (console.Fleet, error) {
			s, err := i.fleetStatus(ctx)
			return console.Fleet(s), err
		},
		Subscribe: func(see func(bus.Event)) (func(), error) { return f.Bus.Subscribe("", "", see) },
		Recent:    f.Bus.Recent,
		Socket:    socketOf(f.service, f.common.Admin),
	}, logx.Comp(f.Log, "console"), f.Metrics)
	f.Admin.Mount("/", i.console.Handler())
}
