// A real oidc-provider on a free loopback port: node oidc_provider.mjs FOLDER, where FOLDER holds node_modules.
// Prints its issuer. Access tokens are JWTs for the resource that a client asks for (RFC 8707); the last part of the
// resource's address names the algorithm.
import { createServer } from 'node:http';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { pathToFileURL } from 'node:url';

const library = `${process.argv[2]}/node_modules/oidc-provider/lib/index.js`;
const { Provider } = await import(pathToFileURL(library));

const jwk = (kind, options, members) =>
  ({ ...generateKeyPairSync(kind, options).privateKey.export({ format: 'jwk' }), use: 'sig', ...members });
const keys = [
  jwk('rsa', { modulusLength: 2048 }, { kid: 'rsa' }),
  jwk('ec', { namedCurve: 'P-256' }, { kid: 'p256', alg: 'ES256' }),
  jwk('ec', { namedCurve: 'P-384' }, { kid: 'p384', alg: 'ES384' }),
  jwk('ec', { namedCurve: 'P-521' }, { kid: 'p521', alg: 'ES512' }),
  jwk('ed25519', undefined, { kid: 'ed' }),
];

const server = createServer();
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const issuer = `http://127.0.0.1:${server.address().port}`;
const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'];
const provider = new Provider(issuer, {
  jwks: { keys },
  cookies: { keys: [randomBytes(16).toString('hex')] },
  clients: [{ client_id: 'app', client_secret: process.env.CLIENT_SECRET, grant_types: ['client_credentials'],
    redirect_uris: [], response_types: [] }],
  enabledJWA: { idTokenSigningAlgValues: algorithms },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    dPoP: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (context, resource) => ({
        scope: 'chat', audience: resource, accessTokenFormat: 'jwt', accessTokenTTL: 600,
        jwt: { sign: { alg: resource.split('/').pop() } },
      }),
    },
  },
  extraTokenClaims: () => ({ 'https://acme.example/tenant': 'alpha', roles: ['member'] }),
});
server.on('request', provider.callback());
console.log(issuer);
