package conformance

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/everup/everup/shared/labtest"
)

// TestRequestTrailers sends fields behind a request's content, as curl cannot, with Go's client.
func TestRequestTrailers(t *testing.T) {
	t.Parallel()
	o, addr := startOrigin(t), labtest.FreeAddr(t)
	startProgram(t, addr, fmt.Sprintf("listen: [%q]\nroutes: [{pool: web}]\npools: {web: %s}\n", addr, poolYAML("", o.addr)))
	req, err := http.NewRequest("POST", "http://"+addr+"/echo", io.NopCloser(strings.NewReader("content"))) // of no known length
	if err != nil {
		t.Fatal(err)
	}
	req.Trailer = http.Header{"X-Sum": {"abc"}}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if want := echo("POST", "chunked, 7 bytes, sum fec530a9", "http", addr) + "; trailer X-Sum: [abc]"; err != nil || string(got) != want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}
