package vip

import (
	"github.com/everup/everup/shared/vip/internal/child"
	"github.com/everup/everup/shared/vip/internal/holder"
	"golang.org/x/sys/unix"
)

// Child is the body of the VRRP process: the daemon starts its own binary as `<daemon> vrrp`. It returns when the daemon has told it
// to stop or is dead, and the addresses are given up. fault.Invalid: it was not the daemon who started it.
func Child() error {
	ctl, parent, err := child.Inherit()
	if err != nil {
		return err
	}
	defer ctl.Close()
	if parent >= 0 {
		defer unix.Close(parent)
	}
	return holder.Run(ctl, parent)
}
