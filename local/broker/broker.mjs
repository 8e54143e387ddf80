// MQTT broker of the simulated homes: QoS 1, on disk from before its PUBACK until its reader acknowledges it.
// node broker.mjs --port=N --data=DIR [--host=127.0.0.1]
import { mkdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { parseArgs } from 'node:util'
import { Aedes } from 'aedes'
import aedesPersistenceLevel from 'aedes-persistence-level'
import { ClassicLevel } from 'classic-level'

const { values } = parseArgs({
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string' },
    data: { type: 'string' },
  },
})
const port = Number(values.port)
if (!Number.isInteger(port) || port < 1 || port > 65535 || !values.data) {
  console.error(`--port is ${values.port}, limits 1 to 65535; --data is ${values.data}, a folder is needed`)
  process.exit(2)
}

mkdirSync(values.data, { recursive: true })
const level = new ClassicLevel(values.data)
const persistence = ownIds(inOrder(aedesPersistenceLevel(level)))
const broker = await Aedes.createBroker({ persistence, concurrency: 1000 })
keepBeforeAcknowledging(broker)
const server = createServer(broker.handle)

server.on('error', (error) => {
  console.error(
    error.code === 'EADDRINUSE' ? `port ${port} on ${values.host} is in use` : `broker failed: ${error.message}`,
  )
  process.exit(1)
})
broker.on('clientError', (client, error) => console.error(`client ${client?.id}: ${error.message}`))
server.listen(port, values.host, () => console.log(`listening on ${values.host}:${port}`))

// Close the store last: what is not acknowledged must be on disk before the process ends.
function stop() {
  server.close()
  broker.close(() => level.close().finally(() => process.exit(0)))
}
process.on('SIGTERM', stop)
process.on('SIGINT', stop)

// Aedes takes a message whose counter is below the last one's for a repetition and does not deliver it
// (client.js, dedupe): it would stay on disk until its reader connects anew. The store's writes run side
// by side and may finish in another order, so their completions are put back in order here.
function inOrder(persistence) {
  for (const name of ['outgoingEnqueueCombi', 'outgoingUpdate']) {
    const write = persistence[name].bind(persistence)
    let last = Promise.resolve()
    persistence[name] = (...args) => {
      const written = write(...args)
      const turn = last.then(() => written)
      last = turn.catch(() => {})
      return turn
    }
  }
  return persistence
}

// Aedes delivers again under the id of an earlier connection, and counts ids of a new one from anywhere: two
// messages may have one id, and the acknowledgement of the older would delete the newer, whose reader may not
// have kept it yet. Without an id from the store each gets one of this connection's count.
function ownIds(persistence) {
  const stream = persistence.outgoingStream.bind(persistence)
  const anew = (packet) => (packet.cmd === 'publish' ? { ...packet, messageId: undefined } : packet)
  persistence.outgoingStream = (client) => stream(client).map(anew)
  return persistence
}

// Aedes sends PUBACK and only then writes the message (handlers/publish.js): a broker that is killed between
// has lost what it acknowledged. It asks for permission before both, so the message is published here, and
// what Aedes acknowledges and publishes afterwards is an empty one that nobody reads.
function keepBeforeAcknowledging(broker) {
  const permit = broker.authorizePublish
  const nothing = { topic: `$SYS/${broker.id}/kept`, payload: Buffer.alloc(0), retain: false }
  broker.authorizePublish = (client, packet, done) => {
    permit(client, packet, (refused) => {
      if (refused || packet.qos !== 1) return done(refused)
      broker.publish({ ...packet }, client, (failed) => {
        Object.assign(packet, nothing)
        done(failed)
      })
    })
  }
}
