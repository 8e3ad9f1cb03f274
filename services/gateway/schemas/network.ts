import Type from 'typebox'
import { EndpointSettings } from './container.ts'
import { flag, list, struct, text, textMap } from './types.ts'

/** POST /networks/create */
export const NetworkCreate = Type.Object({
  Name: text,
  CheckDuplicate: flag,
  Driver: text,
  Scope: text,
  EnableIPv4: flag,
  EnableIPv6: flag,
  IPAM: struct({
    Driver: text,
    Options: textMap,
    Config: list(Type.Object({ Subnet: text, IPRange: text, Gateway: text, AuxiliaryAddresses: textMap })),
  }),
  Internal: flag,
  Attachable: flag,
  Ingress: flag,
  ConfigOnly: flag,
  ConfigFrom: struct({ Network: text }),
  Options: textMap,
  Labels: textMap,
})

/** POST /networks/{id}/connect */
export const NetworkConnect = Type.Object({ Container: text, EndpointConfig: Type.Optional(EndpointSettings) })

/** POST /networks/{id}/disconnect */
export const NetworkDisconnect = Type.Object({ Container: text, Force: flag })
