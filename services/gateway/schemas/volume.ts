import Type from 'typebox'
import { any, text, textMap } from './types.ts'

/** POST /volumes/create */
export const VolumeCreate = Type.Object({
  Name: text,
  Driver: text,
  DriverOpts: textMap,
  Labels: textMap,
  ClusterVolumeSpec: any,
})
