package strictjson

var ErrNull = errNull
