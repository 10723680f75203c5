package logd
