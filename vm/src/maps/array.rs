//! `array` and `percpu_array`: values by index, all of them there from the start.

use std::fmt;
use std::ops::ControlFlow;
use std::ptr::NonNull;
use std::sync::Arc;

use ring3_platform::maps::PAGE_SIZE;
use ring3_platform::{Errno, MapDef, MapFlags, MapType};

use super::batch;
use super::direct::{Direct, DirectCalls};
use super::mem::{REGION_ALIGN, Region, round8};
use super::{
    BPF_ANY, BPF_F_LOCK, Base, Batch, Map, SharedMemory, Visit, check_update, index_of, next_index, split_lock,
};

/// Where the values of an array are: value `i` for CPU `cpu` is at `base + cpu * plane + i * stride` for `i < entries`.
#[derive(Clone, Copy, Debug)]
pub struct ArrayLayout {
    /// Address of value 0.
    pub base: NonNull<u8>,
    /// Bytes from one value to the next.
    pub stride: usize,
    /// Number of values.
    pub entries: u32,
    /// Bytes from the values of one CPU to those of the next; 0 if all have the same.
    pub plane: usize,
}

/// The copy of an index that a callback gets the address of, aligned as a map's key is.
#[repr(align(8))]
struct IndexKey(#[expect(dead_code, reason = "read through its address")] u32);

/// An array, or a per-CPU array: then a plane of values for each CPU.
pub(super) struct Array {
    base: Base,
    values: Region,
    /// Bytes of a value, padded to 8.
    stride: usize,
    /// Bytes of a CPU's plane. Planes start on cache lines of their own, so that CPUs do not disturb each other.
    plane: usize,
    /// Number of planes: 1 for a plain array.
    planes: u32,
}

impl Array {
    pub(super) fn new(def: &Arc<MapDef>, cpus: u32) -> Result<Array, Errno> {
        let planes = if def.kind == MapType::PercpuArray { cpus } else { 1 };
        let stride = round8(u64::from(def.value_size));
        let plane = stride.checked_mul(u64::from(def.max_entries)).ok_or(Errno::ENOMEM)?;
        let plane = plane.checked_next_multiple_of(REGION_ALIGN as u64).ok_or(Errno::ENOMEM)?;
        let mut bytes = plane.checked_mul(u64::from(planes)).ok_or(Errno::ENOMEM)?;
        let mut align = REGION_ALIGN;
        if def.flags.has(MapFlags::MMAPABLE) {
            align = PAGE_SIZE as usize;
            bytes = bytes.checked_next_multiple_of(PAGE_SIZE.into()).ok_or(Errno::ENOMEM)?;
        }
        let values = Region::zeroed_aligned(bytes, align)?;
        let [stride, plane] = [stride, plane].map(usize::try_from);
        Ok(Array {
            base: Base::new(def),
            values,
            stride: stride.map_err(|_| Errno::ENOMEM)?,
            plane: plane.map_err(|_| Errno::ENOMEM)?,
            planes,
        })
    }

    fn percpu(&self) -> bool {
        self.base.def.kind == MapType::PercpuArray
    }

    fn value_size(&self) -> usize {
        self.base.def.value_size as usize
    }

    /// Where the value of `index` is for `cpu`, if both are in range. A plain array has the same value for every CPU.
    #[inline]
    fn offset(&self, index: u32, cpu: u32) -> Option<usize> {
        let plane = if self.percpu() { cpu } else { 0 };
        (index < self.base.def.max_entries && plane < self.planes)
            .then(|| plane as usize * self.plane + index as usize * self.stride)
    }

    /// The index of an update, or why it cannot be.
    fn updated(&self, key: &[u8], flags: u64) -> Result<u32, Errno> {
        // Wrong flags come before a wrong index, and a wrong index before the element that always exists.
        check_update(flags, false).or_else(|errno| if errno == Errno::ENOENT { Ok(()) } else { Err(errno) })?;
        let index = index_of(key).ok_or(Errno::EINVAL)?;
        if index >= self.base.def.max_entries {
            return Err(Errno::E2BIG);
        }
        check_update(flags, true)?;
        Ok(index)
    }
}

impl Direct for Array {
    #[inline(always)]
    fn lookup_sized<const N: usize>(&self, key: &[u8; N], cpu: u32) -> Option<NonNull<u8>> {
        Some(self.values.at(self.offset(index_of(key)?, cpu)?))
    }

    #[inline(always)]
    unsafe fn update_sized<const N: usize>(
        &self,
        key: &[u8; N],
        value: *const u8,
        flags: u64,
        cpu: u32,
    ) -> Result<(), Errno> {
        let size = self.value_size();
        if flags != BPF_ANY || self.base.def.is_read_only_to_programs() || !self.base.special.is_none() {
            // SAFETY: by the caller; bytes need no alignment.
            let copy: Vec<u8> = (0..size).map(|at| unsafe { value.add(at).read_volatile() }).collect();
            return self.update(key, &copy, flags, cpu);
        }
        let index = index_of(key).ok_or(Errno::EINVAL)?;
        if index >= self.base.def.max_entries {
            return Err(Errno::E2BIG);
        }
        let offset = self.offset(index, cpu).ok_or(Errno::EINVAL)?;
        // SAFETY: by the caller.
        unsafe { self.values.write_from(offset, value, size) };
        Ok(())
    }

    #[inline(always)]
    fn delete_sized<const N: usize>(&self, _key: &[u8; N]) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }
}

// SAFETY: addresses are those of values in the region, which has one for every index and CPU and lives as long as the map.
unsafe impl Map for Array {
    fn base(&self) -> &Base {
        &self.base
    }

    fn holds(&self, addr: u64, len: u64) -> bool {
        self.values.holds(addr, len)
    }

    #[inline]
    fn lookup_ptr(&self, key: &[u8], cpu: u32) -> Option<NonNull<u8>> {
        Some(self.values.at(self.offset(index_of(key)?, cpu)?))
    }

    fn update(&self, key: &[u8], value: &[u8], flags: u64, cpu: u32) -> Result<(), Errno> {
        let _writing = self.base.writing()?;
        // That the value has no lock is found last.
        let index = self.updated(key, flags & !BPF_F_LOCK)?;
        let (_, lock) = split_lock(&self.base, flags)?;
        if value.len() != self.value_size() {
            return Err(Errno::EINVAL);
        }
        let (offset, special) = (self.offset(index, cpu).ok_or(Errno::EINVAL)?, &self.base.special);
        if lock {
            special.locked(&self.values, offset, || special.write(&self.values, offset, value));
        } else {
            special.write(&self.values, offset, value);
        }
        special.forget(&self.values, offset, false);
        Ok(())
    }

    fn direct_calls(&self) -> Option<DirectCalls> {
        self.direct()
    }

    fn delete(&self, _key: &[u8]) -> Result<(), Errno> {
        Err(Errno::EINVAL)
    }

    fn next_key(&self, key: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        next_index(key, self.base.def.max_entries)
    }

    fn copy_out(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        let index = index_of(key).ok_or(Errno::EINVAL)?;
        let bytes = if self.percpu() { self.stride } else { self.value_size() };
        let mut out = Vec::new();
        for plane in 0..self.planes {
            self.values.read_into(self.offset(index, plane).ok_or(Errno::ENOENT)?, bytes, &mut out);
        }
        self.base.special.hide(&mut out, self.stride);
        Ok(out)
    }

    fn copy_out_batch(&self, from: Option<&[u8]>, max: usize, take: bool) -> Result<Batch, Errno> {
        if take {
            return Err(Errno::ENOTSUPP);
        }
        if !self.base.special.is_none() {
            return batch::read(self, from, max);
        }
        let entries = self.base.def.max_entries;
        let first = match from.map(|key| index_of(key).ok_or(Errno::EINVAL)).transpose()? {
            Some(last) if last < entries => last + 1,
            Some(_) | None => 0,
        };
        let count = max.min((entries - first) as usize);
        let indexes = || (first..entries).take(count);
        let keys: Vec<u8> = indexes().flat_map(u32::to_ne_bytes).collect();
        let next = keys.last_chunk::<4>().map_or_else(|| from.unwrap_or_default().to_vec(), |last| last.to_vec());
        let values = if !self.percpu() && self.stride == self.value_size() {
            // They lie one after the other.
            self.values.read(first as usize * self.stride, count * self.stride)
        } else {
            let bytes = if self.percpu() { self.stride } else { self.value_size() };
            let mut values = Vec::with_capacity(count * bytes * self.planes as usize);
            for (index, plane) in indexes().flat_map(|index| (0..self.planes).map(move |plane| (index, plane))) {
                self.values.read_into(self.offset(index, plane).ok_or(Errno::ENOENT)?, bytes, &mut values);
            }
            values
        };
        Ok(Batch { keys, values, count, next, ended: count < max })
    }

    fn copy_out_locked(&self, key: &[u8]) -> Result<Vec<u8>, Errno> {
        let index = index_of(key).ok_or(Errno::EINVAL)?;
        let offset = self.offset(index, 0).ok_or(Errno::ENOENT)?;
        self.base.special.locked(&self.values, offset, || self.copy_out(key))
    }

    fn copy_in(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), Errno> {
        if !self.percpu() {
            return self.update(key, value, flags, 0);
        }
        let _writing = self.base.writing()?;
        let index = self.updated(key, flags)?;
        if value.len() != self.stride * self.planes as usize {
            return Err(Errno::EINVAL);
        }
        for (plane, value) in (0..self.planes).zip(value.chunks_exact(self.stride)) {
            let offset = self.offset(index, plane).ok_or(Errno::EINVAL)?;
            self.base.special.write(&self.values, offset, value);
            self.base.special.forget(&self.values, offset, false);
        }
        Ok(())
    }

    fn len(&self) -> usize {
        self.base.def.max_entries as usize
    }

    fn for_each(&self, cpu: u32, visit: &mut Visit<'_>) -> Result<u64, Errno> {
        for index in 0..self.base.def.max_entries {
            let value = self.values.at(self.offset(index, cpu).ok_or(Errno::EINVAL)?);
            let key = IndexKey(index);
            if let ControlFlow::Break(()) = visit(NonNull::from(&key).cast(), value) {
                return Ok(u64::from(index) + 1);
            }
        }
        Ok(u64::from(self.base.def.max_entries))
    }

    fn cpus(&self) -> u32 {
        self.planes
    }

    fn direct_value(&self) -> Option<NonNull<u8>> {
        (!self.percpu() && self.base.def.max_entries == 1).then(|| self.values.at(0))
    }

    fn shared_memory(&self) -> Result<SharedMemory, Errno> {
        if !self.base.def.flags.has(MapFlags::MMAPABLE) {
            return Err(Errno::ENOTSUPP);
        }
        // Whoever has the memory can write to it, which nobody could take back from him.
        if self.base.def.is_read_only_to_programs() {
            return Err(Errno::EPERM);
        }
        self.base.may_write()?;
        Ok(SharedMemory { start: self.values.at(0), len: self.values.len() })
    }

    fn array_layout(&self) -> Option<ArrayLayout> {
        Some(ArrayLayout {
            base: self.values.at(0),
            stride: self.stride,
            entries: self.base.def.max_entries,
            plane: if self.percpu() { self.plane } else { 0 },
        })
    }
}

impl fmt::Debug for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Array").field("name", &self.base.def.name).finish_non_exhaustive()
    }
}
