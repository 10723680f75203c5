package member

// Transport moves gossip. NewMemoryNet (tests) and UDP/TCP implement it. Its methods are the implementer's choice.
type Transport interface{}
