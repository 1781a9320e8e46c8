// An OAuth server that is not ours, in Google's place. What it is to do next it is told on standard input, a JSON object a
// line; each line is answered by one.
//
//   {"next": {...}}    how the next answers are: `expires_in` and `userinfo` stay, `status` with `error` is for `times` answers
//   {"front": "http…"} where the front leads to
//   {"tell": true}     what it was asked so far, by kind of grant
//
// With CERT and KEY it also has a front with TLS: as `localhost` a gateway, by Google's names this server. The gemini CLI,
// which knows Google by those names alone, comes to it by way of a proxy.
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';

const packages = pathToFileURL(`${process.env.PACKAGES}/node_modules/`);
const { OAuth2Server } = await import(new URL('oauth2-mock-server/dist/index.mjs', packages).href);

const server = new OAuth2Server();
await server.issuer.keys.generate('RS256');
await server.start(0, '127.0.0.1');
const url = `http://127.0.0.1:${server.address().port}`;

const asked = { authorize: [], authorization_code: [], refresh_token: [], userinfo: 0, tunnels: [] };
let how = { expires_in: 3600, userinfo: { email: 'someone@example.com' }, times: 0 };
let made = 0;

server.service.on('beforeAuthorizeRedirect', (_, request) => asked.authorize.push(request.url));
server.service.on('beforeUserinfo', (answer) => {
  asked.userinfo += 1;
  answer.body = how.userinfo;
});
server.service.on('beforeResponse', (answer, request) => {
  const { grant_type: grant, client_id, client_secret, refresh_token, redirect_uri, code_verifier } = request.body;
  asked[grant].push({ client_id, client_secret, refresh_token, redirect_uri, verifier: Boolean(code_verifier) });
  if (how.times > 0) {
    how.times -= 1;
    answer.statusCode = how.status;
    answer.body = how.error;
    return;
  }
  made += 1;
  answer.body.access_token = `ya29.access-canary-${made}-7Qm2`;
  answer.body.id_token = `id-canary-${made}-Zp0X`;
  answer.body.expires_in = how.expires_in;
  if (grant === 'authorization_code') {
    answer.body.refresh_token = `1//refresh-canary-${made}-k3Vd`;
  } else {
    // As Google does.
    delete answer.body.refresh_token;
  }
});

let front;
const paths = {
  'oauth2.googleapis.com/token': '/token',
  'oauth2.googleapis.com/tokeninfo': null,
  'www.googleapis.com/oauth2/v2/userinfo': '/userinfo',
};
function pass(request, response, base, path) {
  const onward = http.request(base + path, { method: request.method, headers: { ...request.headers } }, (answer) => {
    response.writeHead(answer.statusCode, answer.rawHeaders);
    answer.pipe(response);
  });
  onward.on('error', () => response.writeHead(502).end());
  request.pipe(onward);
}
const begun = { url };
if (process.env.CERT) {
  const tls = { cert: readFileSync(process.env.CERT), key: readFileSync(process.env.KEY) };
  const secure = https.createServer(tls, (request, response) => {
    const host = request.headers.host.split(':')[0];
    const known = `${host}${request.url.split('?')[0]}`;
    if (host === 'localhost') pass(request, response, front, request.url);
    else if (paths[known]) pass(request, response, url, paths[known]);
    else if (known in paths) response.writeHead(200, { 'content-type': 'application/json' }).end('{"scope":"all"}');
    else response.writeHead(404).end();
  });
  await new Promise((ready) => secure.listen(0, '127.0.0.1', ready));
  const proxy = http.createServer((_, response) => response.writeHead(403).end());
  proxy.on('connect', (request, client) => {
    asked.tunnels.push(request.url);
    const onward = net.connect(secure.address().port, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 OK\r\n\r\n');
      client.pipe(onward).pipe(client);
    });
    for (const socket of [onward, client]) socket.on('error', () => [onward, client].forEach((each) => each.destroy()));
  });
  await new Promise((ready) => proxy.listen(0, '127.0.0.1', ready));
  begun.front = `https://localhost:${secure.address().port}`;
  begun.proxy = `http://127.0.0.1:${proxy.address().port}`;
}

console.log(JSON.stringify(begun));
for await (const line of createInterface({ input: process.stdin })) {
  const said = JSON.parse(line);
  if (said.next) how = { ...how, ...said.next };
  if (said.front) front = said.front;
  console.log(JSON.stringify(asked));
}
process.exit(0);
