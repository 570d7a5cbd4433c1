"""Addresses of Arena, good and bad: template and code must agree on each."""

ARENA = (
    "https://api.arenasolutions.com/v1",
    "https://api.arenagov.com/v1",
    "https://api.europe.arenaplm.com/v1",
    "https://api.uk.arenaplm.com/v1",
    "https://api.arenaplm.cn/v1",
)
ACCEPTED = (
    *ARENA,
    "http://127.0.0.1:8081/v1",
    "http://127.0.0.1:65535/v1",
    "http://localhost:1",
)
REFUSED = (
    "",
    # scheme
    "http://api.arenasolutions.com/v1",
    "HTTPS://api.arenasolutions.com/v1",
    "ftp://api.arenasolutions.com/v1",
    "//api.arenasolutions.com/v1",
    "api.arenasolutions.com/v1",
    "https://127.0.0.1:8081/v1",
    # host
    "https://evil.example/v1",
    "https://API.arenasolutions.com/v1",
    "https://api.arenasolutions.com./v1",
    "https://arenasolutions.com/v1",
    "https://apixarenasolutions.com/v1",
    "https://api.arenasolutions.com.evil.example/v1",
    "https://evil.example/api.arenasolutions.com/v1",
    "https://ap\u0456.arenasolutions.com/v1",
    "http://169.254.169.254/v1",
    "http://169.254.169.254:80/v1",
    "http://0.0.0.0:80/v1",
    "http://127.0.0.2:80/v1",
    "http://2130706433:80/v1",
    "http://[::1]:80/v1",
    "http://localhost.evil.example:80/v1",
    # user info
    "https://user@api.arenasolutions.com/v1",
    "https://user:password@api.arenasolutions.com/v1",
    "https://api.arenasolutions.com@evil.example/v1",
    "http://localhost:80@evil.example/v1",
    # port
    "https://api.arenasolutions.com:443/v1",
    "https://api.arenasolutions.com:8443/v1",
    "http://127.0.0.1/v1",
    "http://127.0.0.1:/v1",
    "http://127.0.0.1:0/v1",
    "http://127.0.0.1:080/v1",
    "http://127.0.0.1:65536/v1",
    "http://127.0.0.1:99999/v1",
    "http://127.0.0.1:100000/v1",
    "http://127.0.0.1:\u0663/v1",
    # path and what may follow it
    "https://api.arenasolutions.com",
    "https://api.arenasolutions.com/v1/",
    "https://api.arenasolutions.com/v2",
    "https://api.arenasolutions.com/v1/../v2",
    "https://api.arenasolutions.com/v1?x",
    "https://api.arenasolutions.com/v1#x",
    "https://api.arenasolutions.com\\@evil.example/v1",
    "https://api.arenasolutions.com/v1\n",
    " https://api.arenasolutions.com/v1",
    "http://127.0.0.1:80/v1/",
    "http://127.0.0.1:80/v1?x",
)
