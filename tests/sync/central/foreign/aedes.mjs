// A broker of plain MQTT 3.1.1 that is none of ours: aedes, with the rights of docs/guide/another-broker.md.
// node aedes.mjs PORT KEYS: the centre's folder of keys; says "listens" and runs until it is ended.
import { readFileSync } from 'node:fs'
import tls from 'node:tls'
import { Aedes } from 'aedes'

const [port, keys] = process.argv.slice(-2)
const read = (name) => readFileSync(`${keys}/${name}`)
const nameOf = (client) => client.conn.getPeerCertificate().subject?.CN
const escaped = (name) => name.replaceAll('.', '\\.')

const rights = (name) => {
  if (name === 'centre') return { says: /^cmd\//, hears: /^devices\/[#+]/ }
  if (name === 'check' || name === 'check-2') return { says: /^cmd\/[^/]+\/check$/, hears: /^devices\/[^/]+\/check$/ }
  return { says: new RegExp(`^devices/${escaped(name)}/`), hears: new RegExp(`^cmd/${escaped(name)}/`) }
}

const broker = await Aedes.createBroker({
  authenticate: (client, username, _password, done) => {
    const name = nameOf(client)
    done(null, name !== undefined && client.id === name && (!username || username === name))
  },
  authorizePublish: (client, packet, done) => {
    const allowed = client && rights(nameOf(client)).says.test(packet.topic)
    done(allowed ? null : new Error(`${packet.topic} is not this client's`))
  },
  authorizeSubscribe: (client, wanted, done) => {
    done(null, rights(nameOf(client)).hears.test(wanted.topic) ? wanted : null)
  }
})

const options = {
  ca: read('authorities.pem'),
  cert: read('server.crt'),
  key: read('server.key'),
  crl: read('crl.pem'),
  requestCert: true,
  rejectUnauthorized: true,
  minVersion: 'TLSv1.3'
}
const server = tls.createServer(options, (socket) => broker.handle(socket))
// SIGHUP as at Mosquitto: the list of revoked certificates is read again.
process.on('SIGHUP', () => server.setSecureContext({ ...options, crl: read('crl.pem') }))
server.on('tlsClientError', () => {})
server.listen(Number(port), '127.0.0.1', () => console.log('listens'))
