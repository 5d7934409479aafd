"""What probes may print: garbage that looks almost right."""

from hypothesis import strategies as st

_KEYS = """
clock architecture home sudo MemTotal MemAvailable free held gpu app cgroup driver info session member listen published
addresses speed rdma reach whole command recorded mode owned entry readme public line host known login active server at
answers mount fstab present file link source config index listing config-status
"""
_WORDS = """( ) , - / \\ " ' # = | :8000 [::]:1 pid=7 users:((" """
_VALUES = ["[N/A]", "[Not Supported]", "-1", "9" * 40, "1.2.3", "{}", '[{"mtu":"x"}]', "[[[", "a|b|[1]"]

LINES = st.builds(
    "{}={}".format,
    st.sampled_from(_KEYS.split()),
    st.one_of(
        st.text(max_size=60),
        st.sampled_from(_VALUES),
        st.lists(st.sampled_from(_WORDS.split()), max_size=12).map(" ".join),
    ),
)
"""`key=value` with a key that some probe prints, and a value that none should."""
