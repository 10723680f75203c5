package lbd
