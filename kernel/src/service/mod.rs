//! The services: async tasks on the service CPU, CPU 0.

pub mod control;
