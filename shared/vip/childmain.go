package vip

import (
	"github.com/everup/everup/shared/vip/internal/child"
)

// Child is the body of the VRRP process: the daemon starts its own binary as `<daemon> vrrp`. It returns when the daemon has told it
// to stop or is dead, and the addresses are given up.
func Child() error {
	ctl, parent, err := child.Inherit()
	_, _ = ctl, parent
	return err
}
