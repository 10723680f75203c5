import sys
from pymemcache.client.base import Client

c = Client((sys.argv[1], int(sys.argv[2])), default_noreply=False, timeout=20)
assert c.set("a", b"1", expire=100) and c.get("a") == b"1"
assert c.set_many({"k%d" % i: b"v" * i for i in range(200)}) == []
assert c.get_many(["k%d" % i for i in range(300)]) == {"k%d" % i: b"v" * i for i in range(200)}
assert c.get_many(["k%d" % i for i in range(5000)]) == {"k%d" % i: b"v" * i for i in range(200)}
value, token = c.gets("a")
assert c.cas("a", b"2", token) is True and c.cas("a", b"3", token) is False and c.cas("zz", b"1", token) is None
assert c.incr("a", 40) == 42 and c.decr("a", 2) == 40 and c.incr("zz", 1) is None
assert c.append("a", b"0") and c.prepend("a", b"1") and c.get("a") == b"1400"
assert c.add("a", b"x") is False and c.replace("zz", b"x") is False
assert c.touch("a", 100) and c.get("a") == b"1400"
assert c.delete("a") and c.get("a") is None and not c.delete("a")
large = bytes(range(256)) * 4000
assert c.set("large", large) and c.get("large") == large
assert c.set("gone", b"x", expire=-1) and c.get("gone") is None
assert c.set("flags", b"x", flags=0xFFFFFFFF) and c.get("flags") == b"x"
assert c.stats()[b"curr_items"] == 202
for i in range(100):
    assert c.set("quiet%d" % i, b"x", noreply=True)
assert c.get("quiet99") == b"x"
assert c.flush_all() and c.get("k7") is None
c.quit()
