package files

import "bytes"

// typeOf returns the Content-Type of a file by the extension of its name: content is not looked at, for what a file is taken for must not be up
// to who may write its first bytes.
func typeOf(name []byte) string {
	name = name[bytes.LastIndexByte(name, '/')+1:]
	ext := name[bytes.LastIndexByte(name, '.')+1:]
	var lower [11]byte
	if len(ext) == len(name) || len(ext) > len(lower) {
		return unknownType
	}
	for i, c := range ext {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		lower[i] = c
	}
	if kind, ok := types[string(lower[:len(ext)])]; ok {
		return kind
	}
	return unknownType
}

const unknownType = "application/octet-stream"

const (
	text = "; charset=utf-8"
	ooxm = "application/vnd.openxmlformats-officedocument."
	odf  = "application/vnd.oasis.opendocument."
)

// types are by the registry of media types, and for scripts by RFC 9239.
var types = map[string]string{
	"html": "text/html" + text, "htm": "text/html" + text, "xhtml": "application/xhtml+xml", "css": "text/css" + text,
	"js": "text/javascript" + text, "mjs": "text/javascript" + text, "txt": "text/plain" + text, "text": "text/plain" + text,
	"log": "text/plain" + text, "md": "text/markdown" + text, "csv": "text/csv" + text, "tsv": "text/tab-separated-values" + text,
	"ics": "text/calendar" + text, "vcf": "text/vcard" + text, "vtt": "text/vtt" + text, "yaml": "application/yaml", "yml": "application/yaml",
	"xml": "text/xml" + text, "xsl": "application/xslt+xml", "rss": "application/rss+xml", "atom": "application/atom+xml",
	"json": "application/json", "jsonld": "application/ld+json", "map": "application/json", "geojson": "application/geo+json",
	"webmanifest": "application/manifest+json", "toml": "application/toml", "sql": "application/sql", "wasm": "application/wasm",

	"png": "image/png", "apng": "image/apng", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp",
	"avif": "image/avif", "heic": "image/heic", "jxl": "image/jxl", "bmp": "image/bmp", "tif": "image/tiff", "tiff": "image/tiff",
	"ico": "image/vnd.microsoft.icon", "svg": "image/svg+xml", "svgz": "image/svg+xml",

	"woff": "font/woff", "woff2": "font/woff2", "ttf": "font/ttf", "otf": "font/otf", "ttc": "font/collection",
	"eot": "application/vnd.ms-fontobject",

	"mp3": "audio/mpeg", "m4a": "audio/mp4", "aac": "audio/aac", "oga": "audio/ogg", "ogg": "audio/ogg", "opus": "audio/ogg",
	"flac": "audio/flac", "wav": "audio/wav", "weba": "audio/webm", "mid": "audio/midi", "midi": "audio/midi",
	"mp4": "video/mp4", "m4v": "video/mp4", "mpeg": "video/mpeg", "mpg": "video/mpeg", "ogv": "video/ogg", "webm": "video/webm",
	"mov": "video/quicktime", "mkv": "video/matroska", "avi": "video/x-msvideo", "ts": "video/mp2t", "3gp": "video/3gpp",
	"m3u8": "application/vnd.apple.mpegurl", "mpd": "application/dash+xml",

	"pdf": "application/pdf", "ps": "application/postscript", "eps": "application/postscript", "rtf": "application/rtf",
	"epub": "application/epub+zip", "doc": "application/msword", "xls": "application/vnd.ms-excel", "ppt": "application/vnd.ms-powerpoint",
	"docx": ooxm + "wordprocessingml.document", "xlsx": ooxm + "spreadsheetml.sheet", "pptx": ooxm + "presentationml.presentation",
	"odt": odf + "text", "ods": odf + "spreadsheet", "odp": odf + "presentation",

	"zip": "application/zip", "gz": "application/gzip", "tgz": "application/gzip", "bz2": "application/x-bzip2", "xz": "application/x-xz",
	"zst": "application/zstd", "br": "application/x-brotli", "tar": "application/x-tar", "7z": "application/x-7z-compressed",
	"rar": "application/vnd.rar", "jar": "application/java-archive", "war": "application/java-archive",
	"deb": "application/vnd.debian.binary-package", "rpm": "application/x-rpm", "apk": "application/vnd.android.package-archive",
	"iso": "application/x-iso9660-image", "p7s": "application/pkcs7-signature", "crl": "application/pkix-crl", "cer": "application/pkix-cert",
	"pem": "application/x-pem-file", "asc": "application/pgp-signature", "torrent": "application/x-bittorrent",
}
