package vip

import (
	"github.com/everup/everup/shared/nl"
	"github.com/everup/everup/shared/vip/internal/track"
)

// openRoutes opens what looks routes up, in the network namespace that the daemon was started in.
func openRoutes() (track.Routes, error) {
	c, err := nl.Open()
	if err != nil {
		return nil, err
	}
	return c, nil
}
