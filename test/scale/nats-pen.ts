/** Writes to NATS over one bare socket: what it is given is framed already, so that many thousand messages a second cost one write in a while. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

const HELLO = 'CONNECT {"verbose":false,"pedantic":false,"lang":"node","version":"0","protocol":1}\r\nPING\r\n'
const PING = 'PING\r\n'

export class NatsPen {
  readonly #socket: Socket

  /** Resolves once the server has answered. */
  static async open(address: string): Promise<NatsPen> {
    const at = address.lastIndexOf(':')
    const socket = connect({ host: address.slice(0, at), port: Number(address.slice(at + 1)), noDelay: true })
    await once(socket, 'connect')
    socket.write(HELLO)
    const pen = new NatsPen(socket)
    await new Promise<void>((resolve) => {
      const onAnswer = (text: string): void => {
        if (!text.includes('PONG')) return
        socket.off('data', onAnswer)
        resolve()
      }
      socket.on('data', onAnswer)
    })
    return pen
  }

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setEncoding('latin1')
    socket.on('data', (text: string) => {
      if (text.includes('-ERR')) throw new Error(`nats-server refused: ${text.trim()}`)
      if (text.includes(PING)) socket.write('PONG\r\n')
    })
  }

  write(bytes: Uint8Array): void {
    this.#socket.write(bytes)
  }

  close(): void {
    this.#socket.destroy()
  }
}
