/** Reads what Linux tells of processes and sockets under /proc. Never throws, whatever the bytes. */

const LISTENING = '0A'

/** The inodes of the sockets that listen on a port, out of /proc/net/tcp or tcp6. */
export function listeningSockets(table: string, port: number): readonly string[] {
  const inodes: string[] = []
  for (const line of table.split('\n')) {
    const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/)
    if (state !== LISTENING || Number.parseInt(local.slice(local.lastIndexOf(':') + 1), 16) !== port) continue
    if (/^[1-9]\d{0,19}$/.test(inode)) inodes.push(inode)
  }
  return inodes
}

/** The parent's id, out of /proc/PID/stat. The name before it may hold anything, also parentheses. */
export function parentOf(stat: string): number | undefined {
  const parts = /^ \S (\d{1,10}) /.exec(stat.slice(stat.lastIndexOf(')') + 1))
  return parts === null ? undefined : Number(parts[1])
}

/** The inode of a socket, out of a link under /proc/PID/fd. */
export const socketOf = (link: string): string | undefined => /^socket:\[(\d{1,20})\]$/.exec(link)?.[1]
