package conformance

import (
	"fmt"
	"testing"

	"github.com/everup/everup/shared/labtest"
)

// TestCurlCompressed: curl decodes what lbd compresses, by whichever coding.
func TestCurlCompressed(t *testing.T) {
	t.Parallel()
	labtest.Needs(t, "curl")
	o := startOrigin(t)
	addr := labtest.FreeAddr(t)
	startProgram(t, addr, fmt.Sprintf("listen: [%q]\nroutes: [{pool: web}]\npools: {web: %s}\n", addr, poolYAML("compress: {},", o.addr)))
	ask := asker(t)
	text := "http://" + addr + "/text"
	const about = " [%header{content-encoding}] [%header{vary}] [%header{etag}] [%header{content-length}]"
	for _, coding := range []string{"gzip", "br", "zstd"} {
		ask(string(prose())+"|200 1.1 ["+coding+`] [Accept-Encoding] [W/"1"] []`, about, "--compressed", "-H", "Accept-Encoding: "+coding, text)
	}
	ask(string(prose())+`|200 1.1 [zstd] [Accept-Encoding] [W/"1"] []`, about, "--compressed", text)
	ask(string(prose())+`|200 1.1 [] [Accept-Encoding] ["1"] [72890]`, about, text)
	ask(string(prose())+"|200 1.1 [gzip] [] [] []", about, "--compressed", "http://"+addr+"/gzip") // as the member has it
	ask("piece 0\npiece 1\npiece 2\n|200 1.1 zstd", " %header{content-encoding}", "--compressed", "http://"+addr+"/stream")
	ask("piece 0\npiece 1\npiece 2\n|200 1.1 gzip", " %header{content-encoding}", "--compressed", "--http1.0", "-H", "Accept-Encoding: gzip", "http://"+addr+"/stream")
}
