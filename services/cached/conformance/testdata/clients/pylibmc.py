import sys
import pylibmc

binary = sys.argv[3] == "binary"
c = pylibmc.Client(["%s:%s" % (sys.argv[1], sys.argv[2])], binary=binary, behaviors={"cas": True, "tcp_nodelay": True})
assert c.set("a", "1", time=100) and c.get("a") == "1"
many = {"k%d" % i: b"v" * i for i in range(200)}
assert c.set_multi(many) == []
assert c.get_multi(list(many) + ["absent%d" % i for i in range(100)]) == many
value, token = c.gets("a")
assert c.cas("a", "2", token) and not c.cas("a", "3", token)
assert c.set("n", 2) and c.incr("n", 40) == 42 and c.decr("n", 2) == 40
try:
    c.incr("absent")
    raise AssertionError("counted what is absent")
except pylibmc.NotFound:
    pass
assert c.set("s", b"b") and c.append("s", b"c") and c.prepend("s", b"a") and c.get("s") == b"abc"
assert not c.add("s", b"x")
try:
    assert not c.replace("absent", b"x")
except pylibmc.NotFound:
    assert binary
assert c.touch("s", 100) and not c.touch("absent", 100)
large = bytes(range(256)) * 4000
assert c.set("large", large) and c.get("large") == large
assert c.delete("large") and c.get("large") is None
assert c.delete_multi(["k%d" % i for i in range(100)]) and len(c.get_multi(list(many))) == 100
if binary:
    assert c.set(b"\x01\xff\x00 \r\n", b"any") and c.get(b"\x01\xff\x00 \r\n") == b"any"
assert {"curr_items", b"curr_items"} & set(c.get_stats()[0][1])
assert c.flush_all() and c.get("a") is None
c.disconnect_all()
