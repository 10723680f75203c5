package config

import (
	"testing"

	"github.com/everup/everup/services/lbd/internal/engine"
	"github.com/everup/everup/shared/conf"
)

func TestForwarded(t *testing.T) {
	f := func(yaml string, want engine.Inform, wantErr string) {
		t.Helper()
		var c Config
		_, err := conf.Parse("f", []byte("pools: {web: {from: {service: s}"+yaml+"}}\n"), &c, conf.Options{})
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != wantErr {
			t.Errorf("%s: %s, want %s", yaml, got, wantErr)
		}
		if err == nil && c.Pools["web"].Forwarded.Inform() != want {
			t.Errorf("%s: %b, want %b", yaml, c.Pools["web"].Forwarded.Inform(), want)
		}
	}
	f("", engine.InformUsual|engine.InformID, "")
	f(", forwarded: true", engine.InformUsual|engine.InformID, "")
	f(", forwarded: false", 0, "")
	f(", forwarded: {fields: port, rfc7239: hidden, request_id: false, trace: drop, via: true}",
		engine.InformPort|engine.InformForwarded|engine.InformHidden|engine.InformNoTrace|engine.InformVia, "")
	f(", forwarded: {rfc7239: address, trace: make, trace_sampled: 5}", engine.InformUsual|engine.InformForwarded|engine.InformID, "")
	f(", forwarded: {rfc7239: hidden}", 0,
		"f:1:56: pools.web.forwarded.rfc7239: is hidden, but X-Forwarded-For tells the address (give fields: [proto, host])")
	f(", forwarded: {trace_sampled: 5}", 0, "f:1:62: pools.web.forwarded.trace_sampled: is for traces that lbd begins (give trace: make)")
	f(", forwarded: {fields: from}", 0, `f:1:55: pools.web.forwarded.fields: "from" is not one of for, proto, host, port`)
}
