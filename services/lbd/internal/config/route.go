package config

import (
	"github.com/everup/everup/shared/conf"
)

// Route is one rule: conditions, which all must hold, and what becomes of the requests that meet them. A route without an outcome (pool, split,
// files, redirect, answer, deny, drop) adds its tags and headers, counts its limits, and the next routes are looked at.
type Route struct {
	Name  string `yaml:"name" max:"63" doc:"Name for logs and lbd explain; no two routes have the same."`
	Match `yaml:",inline"`
	Not   []Match `yaml:"not" single:"true" max:"64" doc:"Conditions that must not hold: a section, which is left out where all of it holds, or a list of such sections, none of which may hold."`

	Tag             []conf.Name `yaml:"tag" single:"true" max:"64" doc:"Tags for the routes behind this one, which ask for them by tagged."`
	RequestHeaders  *Headers    `yaml:"request_headers" doc:"Changes of the request's headers, when it is forwarded."`
	ResponseHeaders *Headers    `yaml:"response_headers" doc:"Changes of the answer's headers, also of lbd's own answers."`
	Limit           []Limit     `yaml:"limit" single:"true" max:"16" doc:"How many requests that meet the conditions are let pass, by key; of several each counts in turn, until one refuses."`
	Tarpit          *Tarpit     `yaml:"tarpit" doc:"Have requests wait."`
	Compress        bool        `yaml:"compress" default:"true" doc:"false: answers are not compressed whatever the pool or the files say, as is right for pages that show a secret beside what the request says (BREACH)."`
	HSTS            *HSTS       `yaml:"hsts" doc:"Strict-Transport-Security for answers over TLS."`

	Pool        conf.Name `yaml:"pool" doc:"Outcome: the pool that answers."`
	Priority    int       `yaml:"priority" default:"5" min:"0" max:"9" doc:"Place in the pool's queue: 0 goes first, 9 last."`
	StripPrefix bool      `yaml:"strip_prefix" default:"false" doc:"Take path off before the request goes to the pool, or is looked for among files."`
	Rewrite     *Rewrite  `yaml:"rewrite" doc:"Change what goes to the pool, or is looked for among files."`
	Split       *Split    `yaml:"split" doc:"Outcome: one of several pools answers."`
	Files       *Files    `yaml:"files" doc:"Outcome: files of a directory."`
	Redirect    *Redirect `yaml:"redirect" doc:"Outcome: the client is sent elsewhere."`
	Answer      *Answer   `yaml:"answer" doc:"Outcome: a fixed answer."`
	Deny        bool      `yaml:"deny" default:"false" doc:"Outcome: 403."`
	Drop        bool      `yaml:"drop" default:"false" doc:"Outcome: the connection is closed without an answer."`

	ErrorPages  ErrorPages `yaml:"error_pages" max:"64" doc:"Pages for errors of lbd's own, over those of all routes: 404, 4xx, 5xx and so on."`
	Intercept   bool       `yaml:"intercept" default:"false" doc:"Errors of the pool's members are answered with these pages, too, where the client asks for HTML."`
	Maintenance bool       `yaml:"maintenance" default:"false" doc:"The route is under maintenance: requests are answered 503, but for those from exempt networks."`
}

// Match is a set of conditions. Several values of one mean any of them.
type Match struct {
	Host      []string            `yaml:"host" single:"true" max:"1024" doc:"Host name without port, or *.name for every name below it, or \"~ \" and a regular expression (RE2); empty means any."`
	Path      []string            `yaml:"path" single:"true" max:"1024" doc:"Beginning of the path: /files stands for itself and what is below it, /files/ only for what is below it; \"= /x\" is a whole path, \"~ ^/x/(.*)$\" a regular expression. Paths are compared decoded, with one slash for several; empty means any."`
	Method    []string            `yaml:"method" single:"true" max:"64" doc:"Methods, such as GET."`
	Scheme    []string            `yaml:"scheme" single:"true" enum:"http|https" doc:"How the client speaks, also to a trusted proxy in front."`
	Header    map[string][]string `yaml:"header" single:"true" max:"64" doc:"Values by header: a whole value, \"~ \" and a regular expression, or \"*\" for any; \"= \" goes before a value that could be taken for one of these."`
	Cookie    map[string][]string `yaml:"cookie" single:"true" max:"64" doc:"Values by cookie, written as those of header."`
	Query     map[string][]string `yaml:"query" single:"true" max:"64" doc:"Values by query parameter, decoded, written as those of header."`
	UserAgent []string            `yaml:"user_agent" single:"true" max:"1024" doc:"Texts that the User-Agent contains, in any letter case; or as those of header."`
	From      []conf.Prefix       `yaml:"from" single:"true" max:"1024" doc:"Networks of the client, which for requests from trusted proxies is whom X-Forwarded-For names."`
	TLSName   []string            `yaml:"tls_name" single:"true" max:"1024" doc:"Server names that the client asks for in TLS (SNI), written as host."`
	TLSClient []string            `yaml:"tls_client" single:"true" max:"1024" doc:"Names in certificates of clients (the common name, else the first alternative one), written as values of header; \"*\" is any certificate that was verified."`
	DoS       map[string][]string `yaml:"dos" single:"true" short:"any" max:"9" enum:"none|suspect|hard" doc:"What the client's rate of requests makes of it: the highest of what all detectors say, or by their names, {login: hard}; any is all of them there."`
	Tagged    []conf.Name         `yaml:"tagged" single:"true" max:"64" doc:"Tags that earlier routes have set."`
}

// Headers changes header fields. Values may hold variables.
type Headers struct {
	Set    map[string]string `yaml:"set" max:"64" doc:"Headers in place of those of the name; values may hold variables, such as $client."`
	Add    map[string]string `yaml:"add" max:"64" doc:"Headers besides those of the name."`
	Remove []string          `yaml:"remove" single:"true" max:"64" doc:"Names of headers to take out."`
}

// HSTS is the section `hsts` (RFC 6797).
type HSTS struct {
	MaxAge     conf.Duration `yaml:"max_age" default:"365d" min:"0" max:"3650d" doc:"For how long browsers come by TLS only; 0 takes it back."`
	Subdomains bool          `yaml:"subdomains" default:"false" doc:"Also to all names below the host."`
	Preload    bool          `yaml:"preload" default:"false" doc:"Consent to be built into browsers, which is hard to take back."`
}

// Rewrite is the section `rewrite` of a route. Variables: $1 to $9 and $name for groups of regular expressions, $host, $path, $query, $target,
// $client, $scheme, $method, $tls_name, $tls_client, $(header.NAME), $(cookie.NAME), $(arg.NAME); $(name) where a letter follows, $$ for $.
type Rewrite struct {
	Path      string `yaml:"path" max:"4096" doc:"The path in place of the client's. $1 to $9 are the groups of path's regular expression, $name a named group, $path the path as it came."`
	Query     string `yaml:"query" max:"4096" doc:"The query in place of the client's, without ?; $query is the one that came, $(arg.NAME) one of its parameters."`
	DropQuery bool   `yaml:"drop_query" default:"false" doc:"Send no query."`
	Host      string `yaml:"host" max:"253" doc:"Host or host:port in place of the client's."`
}

// Redirect is the section `redirect` of a route.
type Redirect struct {
	To     string `yaml:"to" required:"true" max:"4096" doc:"Where to: a path or a URL with variables as in rewrite; https://$host$target is the same page over TLS."`
	Status int    `yaml:"status" default:"302" enum:"301|302|303|307|308" doc:"301 and 308 for good, 302, 303 and 307 for now; 307 and 308 keep the method."`
}

// Answer is the section `answer` of a route.
type Answer struct {
	Status int    `yaml:"status" default:"200" min:"200" max:"599" doc:"Status code."`
	Type   string `yaml:"type" default:"text/plain; charset=utf-8" max:"255" doc:"Content-Type."`
	Body   string `yaml:"body" max:"65536" doc:"Content."`
}

// Split is the section `split` of a route.
type Split struct {
	Pools  []Part `yaml:"pools" required:"true" max:"64" doc:"The pools and their shares."`
	Key    string `yaml:"key" max:"4096" doc:"Requests of equal key go to the same pool, such as $client or $(cookie.user); empty means by chance for each request."`
	Cookie string `yaml:"cookie" max:"63" doc:"Cookie that keeps a client at a pool: it holds the pool's name, and is set for clients that have none."`
}

// Part is one pool of a split.
type Part struct {
	Pool   conf.Name `yaml:"pool" required:"true" doc:"A pool."`
	Weight int       `yaml:"weight" default:"1" min:"0" max:"1000000" doc:"Its share; 0 means only clients whose cookie says so."`
}
