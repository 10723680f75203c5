package mid

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestSleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Hour)
	})
	runInBubble(t, func() { time.Sleep(time.Hour) })
	time.Sleep(time.Hour)
}

func sleepInBubble() { time.Sleep(time.Hour) }

func reviewed() { time.Sleep(time.Hour) }
