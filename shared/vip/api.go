package vip

import (
	"context"
	"slices"

	"github.com/everup/everup/shared/admin"
	"github.com/everup/everup/shared/fault"
)

// registerCalls registers the calls of the admin API.
func (m *Manager) registerCalls() {
	a := m.env.Admin
	a.Handle("GET /v1/vips", "The virtual addresses, who holds them, and the VRRP process.",
		func(context.Context, *admin.Request) (any, error) { return m.Status(), nil })
	for _, call := range []struct {
		verb, doc string
		do        func(ctx context.Context, vip, by string) error
	}{
		{"switch-over", "Give the VIP to a peer, and stay as backup.", func(ctx context.Context, vip, _ string) error { return m.SwitchOver(ctx, vip) }},
		{"take-over", "Take the VIP from the peer that holds it.", func(ctx context.Context, vip, _ string) error { return m.TakeOver(ctx, vip) }},
		{"release", "Give the VIP away and take no part until resume, also after a restart.", m.release},
		{"resume", "Let a released VIP take part again.", func(ctx context.Context, vip, _ string) error { return m.Resume(ctx, vip) }},
	} {
		a.Handle("POST /v1/vips/{vip}/"+call.verb, call.doc, func(ctx context.Context, r *admin.Request) (any, error) {
			return m.call(ctx, r, call.do)
		})
	}
}

// call does what a call asks for and answers with the VIP as it is then.
func (m *Manager) call(ctx context.Context, r *admin.Request, do func(ctx context.Context, vip, by string) error) (any, error) {
	vip := r.Path["vip"]
	if err := do(ctx, vip, r.By); err != nil {
		return nil, err
	}
	all := m.Status().VIPs
	i := slices.IndexFunc(all, func(v VIPStatus) bool { return v.Name == vip })
	if i < 0 {
		return nil, fault.New(fault.NotFound, "vip: there is no VIP %q any more", vip)
	}
	return all[i], nil
}
