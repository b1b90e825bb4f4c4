"""The component that tests/host/sdks.rs expects, with spin-sdk 3 for Python, which builds components of WASI 0.2."""

from urllib.parse import urlsplit

from spin_sdk import http, key_value
from spin_sdk.http import Request, Response

WRITTEN = "/app/persistent/written"


class IncomingHandler(http.IncomingHandler):
    """Answers one request at a time."""

    def handle_request(self, request: Request) -> Response:
        url = urlsplit(request.uri)
        match request.method, url.path:
            case "GET", "/hello":
                body = b"hello from python\n"
            case "GET", "/header":
                body = f"{url.path} {url.query} {request.headers['x-colour']}\n".encode()
            case "POST", "/echo":
                body = request.body
            case "GET", "/outbound":
                response = http.send(Request("GET", request.headers["x-url"], {}, None))
                body = f"{response.status} ".encode() + response.body
            case "GET", "/write":
                with open(WRITTEN, "w") as file:
                    file.write("by python\n")
                with open(WRITTEN, "rb") as file:
                    body = file.read()
            case "GET", "/key-value":
                key_value.open_default()
                body = b"opened\n"
            case _:
                return Response(404, {}, b"not found\n")
        return Response(200, {"content-type": "text/plain"}, body)
