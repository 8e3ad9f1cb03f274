import Type from 'typebox'
import { command, flag, int, list, text, texts } from './types.ts'

/** POST /containers/{id}/exec */
export const ExecCreate = Type.Object({
  User: text,
  Privileged: flag,
  Tty: flag,
  ConsoleSize: list(Type.Integer()),
  AttachStdin: flag,
  AttachStderr: flag,
  AttachStdout: flag,
  Detach: flag,
  DetachKeys: text,
  Env: texts,
  WorkingDir: text,
  Cmd: command,
  Pid: int,
})

/** POST /exec/{id}/start */
export const ExecStart = Type.Object({ Detach: flag, Tty: flag, ConsoleSize: list(Type.Integer()) })
