// The component that tests/host/sdks.rs expects, with Spin's SDK 1 for JavaScript, which builds components of WASI 0.2.
// The SDK has no file system.

async function body(request, url) {
  switch (`${request.method} ${url.pathname}`) {
    case "GET /hello":
      return "hello from javascript\n";
    case "GET /header":
      return `${url.pathname} ${url.search.slice(1)} ${request.headers.get("x-colour")}\n`;
    case "POST /echo":
      return await request.arrayBuffer();
    case "GET /outbound": {
      const response = await fetch(request.headers.get("x-url"));
      return `${response.status} ${await response.text()}`;
    }
  }
}

async function handle(request) {
  const answer = await body(request, new URL(request.url));
  if (answer === undefined) {
    return new Response("not found\n", { status: 404 });
  }
  return new Response(answer, { headers: { "content-type": "text/plain" } });
}

addEventListener("fetch", (event) => event.respondWith(handle(event.request)));
