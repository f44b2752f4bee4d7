//! The env injector's pieces together: the API server has the real program prepare a pod, and the real wrapper starts what the pod says,
//! with values from the real broker. There is no node: the tests do the kubelet's part (see `container` in the test bed).

mod bed;
mod direct;
mod outage;
mod refused;
mod tokens;
mod values;
