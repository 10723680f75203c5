package member

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/everup/everup/shared/health"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// The form is read by programs: words in lower case, states as words, no number that a reader of 53 bits would round.
func TestMemberJSON(t *testing.T) {
	m := Member{
		ID: "n1/lbd", Node: "n1", Service: "lbd", Version: "v1", Addr: netip.MustParseAddrPort("192.0.2.1:7941"),
		State: Left, Since: time.Unix(1700000000, 0).UTC(), Generation: 1700000000123456789,
		Announcement: Announcement{
			Health: health.Warn, Weight: 100, Load: Load{CPU: 7}, Config: 1<<64 - 1,
			Endpoints: []Endpoint{{"http", "tcp", netip.MustParseAddrPort("192.0.2.1:80")}}, Figures: []Figure{{"hit_ratio", 931}},
		},
	}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"id":"n1/lbd","node":"n1","service":"lbd","version":"v1","addr":"192.0.2.1:7941","state":"left",` +
		`"since":"2023-11-14T22:13:20Z","generation":"1700000000123456789","health":"warn","weight":100,` +
		`"load":{"cpu":7,"iowait":0,"mem":0,"disk":0},"config":"18446744073709551615",` +
		`"endpoints":[{"name":"http","proto":"tcp","addr":"192.0.2.1:80"}],"figures":[{"name":"hit_ratio","per_mille":931}]}`
	if d := cmp.Diff(want, string(b)); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	var back Member
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(m, back, cmpopts.EquateComparable(netip.AddrPort{})); d != "" {
		t.Errorf("read back: -want +got\n%s", d)
	}
}
