module velero-plugin-for-vmservice/tests/e2e/tools/vcsim

go 1.25.8

require github.com/vmware/govmomi v0.55.1

require github.com/google/uuid v1.6.0 // indirect
