// An OAuth server that is not ours, in Google's place. What it is to do next it is told on standard input, a JSON object a
// line; each line is answered by one.
//
//   {"next": {...}}   how the next answers are: `expires_in` and `userinfo` stay, `status` with `error` is for `times` answers
//   {"tell": true}    what it was asked so far, by kind of grant
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const packages = pathToFileURL(`${process.env.PACKAGES}/node_modules/`);
const { OAuth2Server } = await import(new URL('oauth2-mock-server/dist/index.mjs', packages).href);

const server = new OAuth2Server();
await server.issuer.keys.generate('RS256');
await server.start(0, '127.0.0.1');

const asked = { authorize: [], authorization_code: [], refresh_token: [], userinfo: 0 };
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

console.log(JSON.stringify({ url: `http://127.0.0.1:${server.address().port}` }));
for await (const line of createInterface({ input: process.stdin })) {
  const said = JSON.parse(line);
  if (said.next) how = { ...how, ...said.next };
  console.log(JSON.stringify(asked));
}
await server.stop();
