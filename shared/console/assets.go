package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"strings"
)

//go:embed assets
var files embed.FS

// asset is a file that the page loads; its name holds its hash, so that it may be kept for ever.
type asset struct {
	contentType string
	body        []byte
}

type assets struct {
	byName map[string]asset  // by hashed name
	names  map[string]string // hashed by plain name
}

var assetTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

// loadAssets names the embedded files by their content.
func loadAssets() assets {
	a := assets{map[string]asset{}, map[string]string{}}
	list, err := files.ReadDir("assets")
	if err != nil {
		panic("BUG: console: no assets are embedded: " + err.Error())
	}
	for _, f := range list {
		ext := path.Ext(f.Name())
		if assetTypes[ext] == "" {
			continue // a template
		}
		body, err := files.ReadFile("assets/" + f.Name())
		if err != nil {
			panic("BUG: console: read an embedded file: " + err.Error())
		}
		sum := sha256.Sum256(body)
		name := strings.TrimSuffix(f.Name(), ext) + "." + hex.EncodeToString(sum[:6]) + ext
		a.byName[name], a.names[f.Name()] = asset{assetTypes[ext], body}, name
	}
	return a
}

// path returns where the page finds a file.
func (a assets) path(plain string) string {
	name, ok := a.names[plain]
	if !ok {
		panic("BUG: console: no asset " + plain)
	}
	return "/assets/" + name
}

func (a assets) serve(w http.ResponseWriter, r *http.Request) {
	f, ok := a.byName[r.PathValue("name")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", f.contentType)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(f.body) // a client that is gone is nobody to tell
}
